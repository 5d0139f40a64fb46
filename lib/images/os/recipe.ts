/** What `install` knows about one operating system. One file each. */

/** What a root partition says about its system. */
export interface SystemIdentity {
  /** ID of os-release(5), empty if it says none. */
  id: string
  /** PRETTY_NAME of os-release(5), or ID. */
  name: string
  /** Raspberry Pi OS calls itself Debian in os-release; this file of pi-gen's tells it apart. */
  rpiIssue: boolean
}

export interface Recipe {
  /** The OSTYPE, as the user writes it. */
  os: string
  /** When this system is stable after a boot, in a sentence for the documentation. */
  stable: string
  /** The unit's drop-in that says so to systemd. */
  dropIn: string
  matches(identity: SystemIdentity): boolean
}
