/** The verbs of the desk: an image mounted for work, and saved. */
import type { Command } from 'commander'
import { osTypes } from '../../images/os/recipes.ts'
import type { Session } from '../session.ts'
import { verb } from './verb.ts'

const ostypes = `OSTYPE is one of ${osTypes.map((os) => `"${os}"`).join(', ')};
the first where none is given.`

export function deskCommands(root: Command, session: Session): void {
  verb(
    root,
    'init <image>',
    'put a stock image on the desk: OSNAME.img here, mounted, and overlays/ in git for your changes',
    'init ../raspios_lite.img.xz',
  )
    .option('--sha256 <sum>', 'the sum of the file; a URL needs it')
    .addHelpText(
      'after',
      `
<image> is a path or a URL: .img.xz, .img.gz, .img.zst, .zip or a raw .img of a
whole disk.
To take one from the web:
  $ fleetsie init https://example.org/OSNAME.img.xz --sha256 SUM`,
    )
    .action(async (image: string, options) =>
      (await import('../verbs/init.ts')).init(session, image, options),
    )

  verb(
    root,
    'mount [image]',
    "mount the desk's image: each partition writable at part_N, as the image has it at original/part_N",
    'mount',
  )
    .addHelpText(
      'after',
      '\n[image] is another OSNAME.img of this folder, which `.image` leads to from then\non.',
    )
    .action(async (image: string | undefined, options) =>
      (await import('../verbs/mount.ts')).mount(session, image, options),
    )

  verb(
    root,
    'unmount',
    'take the changes in part_N into overlays/, for git and the next mount, and unmount',
    'unmount',
  ).action(async (options) => (await import('../verbs/unmount.ts')).unmount(session, options))

  verb(
    root,
    'install [ostype...]',
    'put fleetsie_provision and its service into the mounted image',
    'install Debian',
  )
    .addHelpText('before', `${ostypes}\n`)
    .action(async (words: string[], options, command: Command) => {
      // As the document has it, beside --help.
      if (words.join(' ') === 'help') return command.outputHelp()
      await (await import('../verbs/install.ts')).install(session, words.join(' '), options)
    })

  verb(
    root,
    'save [name]',
    'write a new, xz-compressed image with your changes; default: OSNAME_fleetsie.img.xz',
    'save my-device.img.xz',
  )
    .option(
      '--allow-private-key <file>',
      'let this file into the image although it holds a private key; may be given several times',
      another,
    )
    .addHelpText(
      'after',
      `
Whoever has the image has the key. The file has the name that the refusal gives:
  $ fleetsie save --allow-private-key overlays/part_2/etc/ssl/device.pem`,
    )
    .action(async (name: string | undefined, options) =>
      (await import('../verbs/save.ts')).save(session, name, options),
    )

  verb(
    root,
    'status',
    'show what is mounted, what differs from the stock image, and what git does not have yet',
    'status',
  ).action(async (options) => (await import('../verbs/status.ts')).status(session, options))
}

/** Names may have commas. */
function another(text: string, before: string[] = []): string[] {
  return [...before, text]
}
