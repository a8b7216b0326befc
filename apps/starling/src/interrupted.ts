/**
 * What SIGINT and SIGTERM mean to the command that runs: to a question, that there is no answer (130, as shells have it);
 * to an agent, that it should leave, which it then has done well.
 *
 * @since 0.1.0
 */

/** @since 0.1.0 */
export const exitCode: { onInterrupt: number } = { onInterrupt: 130 }
