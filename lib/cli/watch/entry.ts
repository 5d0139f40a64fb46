/** The process that builds for a watch: runs the pipeline.ts that it is given, in a Node that a broken one may end. */
import { resolve } from 'node:path'
import { pathToFileURL } from 'node:url'
import { errorEvent } from '../error-event.ts'
import { loadable } from '../loadable.ts'
import { loadError } from './load-error.ts'
import { tell } from './messages.ts'

const script = resolve(process.argv[2]!)
const args = process.argv.slice(3)
process.argv = [process.argv[0]!, script, ...args]
try {
  await import(pathToFileURL(await loadable(script)).href)
} catch (error) {
  tell({ type: 'unloadable', error: errorEvent(loadError(script, error)) })
}
// A script that never calls `pipeline` ends here as well.
if (process.connected) process.disconnect()
