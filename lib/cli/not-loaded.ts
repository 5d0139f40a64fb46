/** What ends a pipeline.ts before its `pipeline` call is reached, told like every other failure. */
import { FleetsieError } from '../errors.ts'
import { fail } from './main.ts'

/** Reports what importing the script threw. What is a fault of the script itself is thrown again, with its stack. */
export async function notLoaded(script: string, args: readonly string[], error: unknown): Promise<void> {
  if (error instanceof FleetsieError) return fail(args, error)
  if (!takenForCommonJs(error)) throw error
  return fail(
    args,
    new FleetsieError('E_INPUT', 'it was loaded as CommonJS, where `await pipeline(...)` cannot stand', {
      file: script,
      hint: 'npm pkg set type=module',
      cause: error,
    }),
  )
}

/** Node 20 with tsx, without "type": "module" in package.json. Later versions of Node look into the file. */
function takenForCommonJs(error: unknown): boolean {
  const { code, message } = error as { code?: unknown; message?: unknown }
  return (
    code === 'ERR_REQUIRE_CYCLE_MODULE' ||
    code === 'ERR_REQUIRE_ASYNC_MODULE' ||
    /Top-level await .*"cjs" output format/.test(String(message))
  )
}
