/** Whether the clocks of this machine and of a fleet's server agree: this one says until when, that one whether it is over. */

/** An answer may have been on its way for minutes. */
const tolerated = 10 * 60

/**
 * What to tell the manager where the two differ; undefined where they agree. `server`: unix seconds, `here`: milliseconds.
 */
export function clockWarning(server: number, here: number): string | undefined {
  const seconds = here / 1000 - server
  if (Math.abs(seconds) < tolerated) return undefined
  const by = `${spoken(Math.abs(seconds))} ${seconds > 0 ? 'ahead of' : 'behind'} the server's`
  return (
    `the clock of this machine is ${by}: disks expire ${seconds > 0 ? 'later' : 'earlier'} than told by that much,\n` +
    'and devices may not take the certificates of `fleetsie ssh`; set the clock that is wrong, and run this again'
  )
}

function spoken(seconds: number): string {
  const days = Math.round(seconds / 86_400)
  if (days >= 2) return `${days} days`
  const hours = Math.round(seconds / 3600)
  return hours >= 2 ? `${hours} hours` : `${Math.round(seconds / 60)} minutes`
}
