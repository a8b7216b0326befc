/**
 * The lower median of `values`, undefined of none: of an even number the earlier of the two in the middle. Never a mean,
 * which one wrong clock of two would move by half its error.
 *
 * With fewer than half of the values arbitrary it lies between the least and the greatest of the others; with exactly
 * half of them too, as long as these only err upwards.
 */
export const lowerMedian = (values: ReadonlyArray<number>): number | undefined =>
  values.length === 0 ? undefined : select(values.slice(), (values.length - 1) >> 1)

/** Hoare's quickselect, in place: what would stand at `rank` if the values were sorted. No NaN. */
const select = (values: Array<number>, rank: number): number => {
  let from = 0
  let to = values.length - 1
  while (from < to) {
    const pivot = values[(from + to) >> 1] as number
    let low = from
    let high = to
    while (low <= high) {
      while ((values[low] as number) < pivot) low++
      while ((values[high] as number) > pivot) high--
      if (low > high) break
      const other = values[low] as number
      values[low] = values[high] as number
      values[high] = other
      low++
      high--
    }
    if (rank <= high) to = high
    else if (rank >= low) from = low
    else break
  }
  return values[rank] as number
}
