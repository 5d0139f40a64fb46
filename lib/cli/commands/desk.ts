/** The verbs of the desk: an image mounted for work, and saved. */
import type { Command } from 'commander'
import type { Session } from '../session.ts'

export function deskCommands(_root: Command, _session: Session): void {}
