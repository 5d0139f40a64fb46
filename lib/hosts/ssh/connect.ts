/** Connects to a machine over ssh, as the user's ssh_config says and never to one whose key is not known or confirmed. */
import { FleetsieError } from '../../errors.ts'
import type { ConnectOptions, Host } from './types.ts'

/**
 * Connects to `[USER@]HOST[:PORT]` (`[v6]:PORT`). Fails with E_USAGE (no destination), E_VERIFY (host key), E_RIGHTS
 * (not let in), E_CANCELLED (the user said no), E_TIMEOUT, E_IO (not found, refused, broken), E_TOOL, E_INTERRUPTED.
 */
export async function connect(destination: string, _options: ConnectOptions): Promise<Host> {
  throw new FleetsieError('E_UNSUPPORTED', `${destination}: no transport yet`)
}
