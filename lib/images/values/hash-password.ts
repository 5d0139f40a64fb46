/** crypt(5) of a password, as shadow(5) keeps it. */
import type { Run } from '../../engine/process.ts'
import { FleetsieError } from '../../errors.ts'
import type { Secret } from './secret.ts'

/** SHA-512 crypt with a salt of openssl's choice. The password goes by stdin: arguments can be read by everybody. */
export async function hashPassword(run: Run, password: Secret): Promise<string> {
  const { stdout } = await run('openssl', ['passwd', '-6', '-stdin'], {
    input: Buffer.concat([password.reveal(), Buffer.from('\n')]),
  })
  const hash = stdout.toString('latin1').trim()
  if (!/^\$6\$[./A-Za-z0-9]{8,16}\$[./A-Za-z0-9]{86}$/.test(hash)) {
    throw new FleetsieError('E_STAGE', 'openssl passwd answered with something that is no SHA-512 crypt')
  }
  return hash
}
