/** The last so many of something. */
export class Ring<A> {
  private readonly items: Array<A> = []
  private next = 0
  private readonly capacity: number

  constructor(capacity: number) {
    this.capacity = capacity
  }

  push(item: A): void {
    if (this.items.length < this.capacity) this.items.push(item)
    else {
      this.items[this.next] = item
      this.next = (this.next + 1) % this.capacity
    }
  }

  toArray(): ReadonlyArray<A> {
    return [...this.items.slice(this.next), ...this.items.slice(0, this.next)]
  }
}
