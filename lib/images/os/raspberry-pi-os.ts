/** Raspberry Pi OS, 32 and 64 bit, Lite and desktop. */
import type { Recipe } from './recipe.ts'

export const raspberryPiOs = {
  os: 'Raspberry Pi OS',
  stable:
    'The first boots are over: none that has `firstboot` or `firstrun` in the kernel command line (they resize the ' +
    'card, apply what the Imager was told, and reboot). The root filesystem has its full size, the SSH host keys are ' +
    'made and cloud-init, if there, has ended. The first user has the name that `userconf.txt` gives it, for which it ' +
    'waits a minute at most. It does not wait for multi-user.target: on a device without a user, `userconfig.service` ' +
    'holds that back until somebody types a name on the console.',
  dropIn: `# Stable, for Raspberry Pi OS: past the boots that resize the card, apply the Imager's settings and restart.
# Not after multi-user.target: userconfig.service holds it back until somebody types a user name.
[Unit]
After=systemd-growfs-root.service rpi-resize.service resize2fs_once.service
After=regenerate_ssh_host_keys.service apply_noobs_os_config.service cloud-final.service

[Service]
ExecCondition=/bin/sh -c '! grep -qE "firstboot|firstrun|init_resize" /proc/cmdline'
# userconfig.service renames the first user and moves its home, which it cannot once the tunnel runs as that user; then it
# removes the file.
ExecStartPre=-/usr/bin/timeout 60 /bin/sh -c 'while ls /boot/userconf* /boot/firmware/userconf* 2>/dev/null | grep -q .; do sleep 1; done'
`,
  matches: ({ rpiIssue }) => rpiIssue,
} as const satisfies Recipe
