/** A first-in-first-out queue: a ring that doubles when it is full. It has no buffer before its first item. */
export class Fifo<A> {
  size = 0
  private items: Array<A | undefined> | undefined = undefined
  private head = 0

  /** Only when `size` is not 0. */
  get first(): A {
    return (this.items as Array<A>)[this.head] as A
  }

  put(item: A): void {
    const items = this.room()
    items[(this.head + this.size++) & (items.length - 1)] = item
  }

  /** Before all others. */
  putFirst(item: A): void {
    const items = this.room()
    this.head = (this.head - 1) & (items.length - 1)
    items[this.head] = item
    this.size++
  }

  /** Only when `size` is not 0. */
  take(): A {
    const items = this.items as Array<A | undefined>
    const { head } = this
    const item = items[head] as A
    items[head] = undefined
    this.head = (head + 1) & (items.length - 1)
    this.size--
    return item
  }

  /** Forgets all that waits, and the buffer. */
  protected free(): void {
    this.items = undefined
    this.size = this.head = 0
  }

  /** The ring, with a free place. */
  private room(): Array<A | undefined> {
    const { items } = this
    if (items === undefined) return (this.items = [undefined, undefined, undefined, undefined])
    return this.size === items.length ? this.grow(items) : items
  }

  private grow(items: Array<A | undefined>): Array<A | undefined> {
    const next: Array<A | undefined> = []
    for (let i = 0; i < this.size; i++) next.push(items[(this.head + i) & (items.length - 1)])
    for (let i = 0; i < this.size; i++) next.push(undefined)
    this.head = 0
    return (this.items = next)
  }
}
