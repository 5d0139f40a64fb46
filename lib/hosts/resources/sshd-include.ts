/** Whether sshd_config includes the folder of drop-ins, for every connection. */

/** `path` is a drop-in's, such as /etc/ssh/sshd_config.d/50-x.conf. After a `Match`, an Include counts for some only. */
export function includesDropIns(main: string, path: string): boolean {
  const folder = path.slice(0, path.lastIndexOf('/') + 1)
  for (const line of main.split('\n')) {
    const [, keyword = '', rest = ''] = /^\s*([A-Za-z]+)(?:\s*=\s*|\s+)(.*)$/.exec(line) ?? []
    if (keyword.toLowerCase() === 'match') return false
    if (keyword.toLowerCase() !== 'include') continue
    const patterns = rest.split(/\s+/).map((word) => word.replace(/^"(.*)"$/, '$1'))
    const absolute = patterns.map((pattern) => (pattern.startsWith('/') ? pattern : `/etc/ssh/${pattern}`))
    if (absolute.some((pattern) => [`${folder}*.conf`, `${folder}*`, path].includes(pattern))) return true
  }
  return false
}
