/** `keys new` and `keys show`: the key that artifacts are signed with. */
import { FleetsieError } from '../../errors.ts'
import { callerOf } from '../../images/caller.ts'
import { makeSigningKey } from '../../images/development-key.ts'
import { fingerprint, findSigningKey, keyFolder, type SigningKey } from '../../images/signing-key.ts'
import type { Session } from '../session.ts'
