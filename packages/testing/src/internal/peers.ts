/** Who the nodes of a fleet are: ids that are unique and spread, the same for the same seed. */
import { type Peer, Rng } from "@starling/machine"

export const peerOf = (seed: number | string, index: number): Peer.Peer => {
  const [word] = Rng.next(Rng.make(`${seed}/id/${index}`))
  // The index makes ids unique, the random word spreads them.
  const id = intern(word.toString(16).padStart(8, "0") + index.toString(16).padStart(4, "0"))
  return { id, incarnation: 1, address: `10.${index >> 16}.${(index >> 8) & 255}.${index & 255}:7740` }
}

/**
 * The same text as the engine keeps names of fields: two of those differ if they are not one object, so that nodes which
 * compare ids all day need not look at their letters.
 */
const intern = (text: string): string => Object.keys({ [text]: 0 })[0] ?? text
