/**
 * A process that runs the stage, for tests that end it or that are another user:
 *   driver.ts RIG-FOLDER OPTIONS-AS-JSON
 * One JSON line for each line of the log, and one for the end.
 */
import { type Chosen, Rig } from './rig.ts'

const [folder = '', options = '{}'] = process.argv.slice(2)
const say = (value: unknown): void => {
  process.stdout.write(`${JSON.stringify(value)}\n`)
}
try {
  const log = (text: string): void => say({ log: text })
  const { digests, left } = await Rig.at(folder).run(JSON.parse(options) as Chosen, { log })
  say({ digests, left })
} catch (error) {
  const { code, message, left } = error as { code?: string; message: string; left?: string[] }
  say({ code, message, left })
}
