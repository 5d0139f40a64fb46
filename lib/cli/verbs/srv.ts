/** `srv`: sets up fleet servers over ssh, or says what would change. */
import type { Session } from '../session.ts'

export interface SrvOptions {
  json?: boolean
  plan?: boolean
  key?: string
  jobs: number
}

export async function srv(session: Session, _servers: readonly string[], options: SrvOptions): Promise<void> {
  await session.show({ json: options.json })
}
