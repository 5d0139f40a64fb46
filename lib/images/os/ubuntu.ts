/** Ubuntu Server and Desktop, preinstalled images for the Raspberry Pi among them. */
import type { Recipe } from './recipe.ts'

export const ubuntu = {
  os: 'Ubuntu',
  stable:
    'The boot has reached multi-user.target and cloud-init, if there, has ended: on the first boot it sets host name, ' +
    'users, network and the size of the root filesystem.',
  dropIn: `# Stable, for Ubuntu: the boot is over, and cloud-init with it, which sets up users and network on the first boot.
[Unit]
After=multi-user.target cloud-final.service cloud-init.target
`,
  matches: ({ id }) => id === 'ubuntu',
} as const satisfies Recipe
