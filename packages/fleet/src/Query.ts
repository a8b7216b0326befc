/**
 * Answers from the facts of one node: pure functions from its state to the documents of `Document`.
 *
 * @since 0.1.0
 */
export {}
