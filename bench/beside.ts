/** One of our builds, run several times, and the rows that set it beside what takes no account of our turns. */
import { eventsOf, imageOf, spentBy } from './built.ts'
import type { Sample, Subject } from './measure.ts'
import type { PeerRun } from './peers/run.ts'
import { compared, type Goal, type Measured, type Side } from './row.ts'
import { median } from './statistics.ts'

export interface OurRun extends Side {
  spent: string
}

/** `same`: whether the last run made what an empty store makes; undefined where nobody looked. */
export function ourRun(subject: Subject, samples: readonly Sample[], same?: boolean): OurRun {
  const { size } = imageOf(subject, samples.at(-1)!)
  const middle = typical(samples)
  return {
    subject,
    samples,
    output: { size, ...(same === undefined ? {} : { same }) },
    spent: spentBy(middle, eventsOf(middle.stdout)),
  }
}

/** Of the run nearest to the median. */
function typical(samples: readonly Sample[]): Sample {
  const middle = median(samples.map(({ wall }) => wall))
  return samples.toSorted((a, b) => Math.abs(a.wall - middle) - Math.abs(b.wall - middle))[0]!
}

export function besidePeer(
  name: string,
  ours: OurRun,
  peer: PeerRun,
  facts: { goal?: Goal; about?: string } = {},
): Measured {
  const about = [facts.about, peer.about].filter((text) => text !== undefined).join('; ')
  return compared({
    name,
    beside: peer.name,
    ours,
    peer,
    paired: false,
    spent: ours.spent,
    ...(facts.goal ? { goal: facts.goal } : {}),
    ...(about ? { about } : {}),
  })
}
