/** What a claim does not depend on. */

/** The claim stands, whatever becomes of `work`: the next `gen` makes up for what fails here. */
export function quietly(work: () => void): void {
  try {
    work()
  } catch {
    // Nobody is there who could do anything about it.
  }
}
