/** `keys new` and `keys show`: the key that artifacts are signed with. */
import { FleetsieError } from '../../errors.ts'
import { callerOf } from '../../images/caller.ts'
import { makeSigningKey } from '../../images/signing/make-signing-key.ts'
import { findSigningKey, fingerprint, keyFolder, type SigningKey } from '../../images/signing/signing-key.ts'
import type { Session } from '../session.ts'

export async function keysNew(session: Session, options: { json?: boolean; name: string }): Promise<void> {
  await session.show({ json: options.json })
  const folder = await keyFolder(process.env)
  const caller = callerOf(process.env)
  const made = await makeSigningKey(folder, { name: options.name, caller, now: new Date() })
  if (!made) {
    throw new FleetsieError('E_UNSAFE', 'there is a signing key already, and it is not replaced', {
      file: folder,
      hint: `move the folder away first: mv ${folder} ${folder}.old`,
    })
  }
  await keysShow(session, options)
}

export async function keysShow(session: Session, options: { json?: boolean }): Promise<void> {
  await session.show({ json: options.json })
  const key = await findSigningKey(process.env)
  if (!key) {
    throw new FleetsieError('E_INPUT', 'there is no signing key yet', {
      hint: '`fleetsie keys new` makes one; a build without one makes a development key',
    })
  }
  const facts = describe(key)
  for (const [name, value] of Object.entries(facts)) {
    session.emit({ type: 'answer', text: `${name.padEnd(12)} ${value}`, data: { [name]: value } })
  }
}

/** What may be shown of a key: nothing of its secret half. */
function describe({ place, chain, development }: SigningKey): Record<string, string> {
  const [leaf] = chain
  return {
    key: place,
    kind: development ? 'development key: only its maker has reason to trust it' : 'signing key',
    subject: leaf.subject.replaceAll('\n', ', '),
    issuer: leaf.issuer.replaceAll('\n', ', '),
    until: leaf.validTo,
    fingerprint: fingerprint(leaf),
  }
}
