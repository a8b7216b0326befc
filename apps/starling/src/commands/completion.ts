/**
 * `completion`: a script for the shell, made from the commands themselves.
 *
 * @since 0.1.0
 */
import * as Argument from "effect/cli/Argument"
import * as Command from "effect/cli/Command"
import * as Completions from "effect/cli/Completions"
import * as Console from "effect/Console"
import * as Effect from "effect/Effect"

/** `all` is the command that contains this one. @since 0.1.0 @category commands */
export const make = (all: () => Command.Command.Any) =>
  Command.make(
    "completion",
    {
      shell: Argument.Literals("shell", ["bash", "zsh", "fish"]).pipe(
        Argument.withDescription("bash: `source <(starling completion bash)`")
      )
    },
    ({ shell }) =>
      Effect.suspend(() => {
        const script = Completions.generate("starling", shell, Completions.fromCommand(all()))
        // The generator's own way of installing is a flag that this program does not have.
        return Console.log(script.replaceAll("starling --completions", "starling completion"))
      })
  ).pipe(Command.withDescription("A completion script for a shell, on standard output"))
