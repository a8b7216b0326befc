/**
 * The lower median of `values`, undefined of none: of an even number the earlier of the two in the middle. Never a mean,
 * which one wrong clock of two would move by half its error.
 *
 * With fewer than half of the values arbitrary it lies between the least and the greatest of the others; with exactly
 * half of them too, as long as these only err upwards.
 */
export const lowerMedian = (values: ReadonlyArray<number>): number | undefined =>
  values.length === 0 ? undefined : new Float64Array(values).toSorted()[(values.length - 1) >> 1]
