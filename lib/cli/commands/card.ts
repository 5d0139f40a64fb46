/** The verbs that write cards and disks. */
import type { Command } from 'commander'
import type { Session } from '../session.ts'

export function cardCommands(_root: Command, _session: Session): void {}
