/** Where this machine tells of its devices. Tests give folders of their own. */

export interface CardHost {
  sys: string
  proc: string
  dev: string
}

export const thisMachine: CardHost = { sys: '/sys', proc: '/proc', dev: '/dev' }
