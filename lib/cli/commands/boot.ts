/** The verb that starts an image. */
import type { Command } from 'commander'
import type { Session } from '../session.ts'
import { append, positive } from './verb.ts'

export function bootCommands(root: Command, session: Session): void {
  root
    .command('boot [image]')
    .description('start an image in qemu, in this terminal; what it writes stays apart from the image')
    .option('--forward <here:there>', 'lead a port of this machine into the image', append, [])
    .option('--usb <file>', 'plug in a USB disk, a raw image that it may write to', append, [])
    .option('--keep', 'find what it has written again the next time, while the image is the same')
    .option('--emulate', 'do without KVM')
    .option('--memory <mib>', 'its memory in MiB', positive, 1024)
    .option('--cpus <n>', 'its processors', positive, 2)
    .addHelpText('after', bootHelp)
    .action(async (image: string | undefined, options) =>
      (await import('../verbs/boot.ts')).boot(session, image, options),
    )
}

const bootHelp = `
<image> is a target of pipeline.ts or a file; default: the desk, else the first
target. Leave by Ctrl-A X.
Example, and then from another terminal \`ssh -p 2222 root@127.0.0.1\`:
  $ fleetsie boot debian --forward 2222:22`
