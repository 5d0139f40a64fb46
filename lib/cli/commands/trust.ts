/** The verbs about signatures. */
import type { Command } from 'commander'
import type { Session } from '../session.ts'
import { verb } from './verb.ts'

export function trustCommands(root: Command, session: Session): void {
  verb(
    root,
    'verify <file>',
    'check the signature, chain, sums and provenance of an artifact',
    'verify out/sample_fleetsie.img.xz --ca ca.crt',
  )
    .option('--ca <file>', 'certificate of the authority that you trust; default: ca.crt beside the file')
    .action(async (file: string, options) =>
      (await import('../verbs/verify.ts')).verify(session, file, options),
    )

  const keys = root.command('keys').description('the key that artifacts are signed with')
  verb(keys, 'new', 'make a signing key and a certificate authority for it', "keys new --name 'ACME images'")
    .option('--name <name>', 'what the certificate is called', 'fleetsie signing key')
    .action(async (options) => (await import('../verbs/keys.ts')).keysNew(session, options))
  verb(keys, 'show', 'show which key signs, and its certificate', 'keys show').action(async (options) =>
    (await import('../verbs/keys.ts')).keysShow(session, options),
  )
}
