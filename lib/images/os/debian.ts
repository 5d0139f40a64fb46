/** Debian, also as made by the stage `debian`. */
import type { Recipe } from './recipe.ts'

export const debianOs = {
  os: 'Debian',
  stable:
    'The boot has reached multi-user.target, so every service that starts with the system has been started; ' +
    'cloud-init, if there, has ended.',
  dropIn: `# Stable, for Debian: all that starts with the system has been started.
# systemd breaks no loop here: a target that a unit is ordered after does not wait for that unit.
[Unit]
After=multi-user.target cloud-final.service
`,
  matches: ({ id, rpiIssue }) => id === 'debian' && !rpiIssue,
} as const satisfies Recipe
