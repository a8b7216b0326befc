/** How long the loop keeps others waiting: a timer of 1 ms, and a byte to a socket and back, over and over. */
import { type AddressInfo, connect, createServer } from "node:net"
import { millis, quantiles } from "./rounds.ts"

/** Begins to watch. What it gives ends that, with milliseconds: from set to fired, from written to read back. */
export const watchLoop = async (): Promise<() => Promise<object>> => {
  const timer: Array<number> = []
  const echo: Array<number> = []
  let over = false
  const tick = () => {
    const from = millis()
    setTimeout(() => {
      timer.push(millis() - from)
      if (!over) tick()
    }, 1)
  }
  const server = createServer({ noDelay: true }, (socket) => void socket.pipe(socket))
  await new Promise<void>((resolve) => void server.listen(0, "127.0.0.1", resolve))
  const { port } = server.address() as AddressInfo
  const client = connect({ port, host: "127.0.0.1", noDelay: true })
  await new Promise<void>((resolve) => void client.once("connect", () => resolve()))
  let written = 0
  const write = () => {
    written = millis()
    client.write("x")
  }
  client.on("data", () => {
    echo.push(millis() - written)
    // Not at once: a client that never rests would be load of its own.
    if (!over) setTimeout(write, 1)
  })
  tick()
  write()
  return async () => {
    over = true
    // The last of each, however late it is.
    await new Promise((resolve) => setTimeout(resolve, 100))
    client.destroy()
    await new Promise((resolve) => server.close(resolve))
    return { timer: quantiles(timer), echo: quantiles(echo) }
  }
}
