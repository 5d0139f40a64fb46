/**
 * What programs leave behind in an image that says something about the machine or the moment of the run, and nothing
 * about what was asked for. Such files are not captured: what the image had stays. Their removal is captured.
 */

interface Noise {
  pattern: RegExp
  /** For the documentation. */
  what: string
  why: string
}

export const noise: readonly Noise[] = [
  {
    pattern: /^var\/cache\/apt\/(?:[^/]*\.bin|archives\/(?:partial\/)?[^/]*\.deb|archives\/lock)$/,
    what: '/var/cache/apt',
    why: "apt's downloads and index, made anew when needed",
  },
  {
    pattern: /^var\/lib\/apt\/(?:lists\/.*[^/]|periodic\/[^/]+)$/,
    what: '/var/lib/apt/lists',
    why: 'what a mirror had at that moment',
  },
  {
    pattern: /^var\/log\/(?:dpkg|alternatives|bootstrap|fontconfig)\.log$|^var\/log\/apt\/[^/]+$/,
    what: 'logs of dpkg, apt and update-alternatives',
    why: 'the time of day in each line',
  },
  {
    pattern: /^var\/(?:lib\/dpkg|cache\/debconf)\/[^/]+-old$/,
    what: '/var/lib/dpkg/*-old, /var/cache/debconf/*-old',
    why: 'a copy of the state before the last step',
  },
  {
    pattern: /^etc\/(?:(?:passwd|group|shadow|gshadow|subuid|subgid)-|\.pwd\.lock)$/,
    what: '/etc/passwd- and its like',
    why: 'a copy of the state before the last step',
  },
  {
    pattern: /^var\/cache\/ldconfig\/aux-cache$/,
    what: '/var/cache/ldconfig/aux-cache',
    why: 'inode numbers and times of libraries',
  },
  { pattern: /^var\/cache\/man\/.*[^/]$/, what: '/var/cache/man', why: 'times, in a database of man-db' },
  {
    pattern: /^(?:etc|var\/lib\/dbus)\/machine-id$/,
    what: 'machine-id',
    why: 'every device makes its own',
  },
  {
    pattern: /^etc\/ssh\/ssh_host_[^/]*_key(?:\.pub)?$/,
    what: 'SSH host keys',
    why: 'every device has to make its own: whoever has the image would have the key',
  },
  {
    pattern: /^var\/lib\/systemd\/(?:random-seed|timesync\/clock)$/,
    what: '/var/lib/systemd/random-seed',
    why: 'random, and secret on a device',
  },
  {
    pattern: /^root\/\.(?:bash_history|ash_history|lesshst|wget-hsts|viminfo)$/,
    what: 'histories in /root',
    why: 'what was typed, not what was asked for',
  },
]

export function isNoise(path: string): boolean {
  return noise.some(({ pattern }) => pattern.test(path))
}
