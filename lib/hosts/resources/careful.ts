/** How every longer script for a machine begins. */

/** It ends with the first command that fails, and is the same whatever the account that it runs by has set. */
export const careful = `set -eu
LC_ALL=C
PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
export LC_ALL PATH
umask 022`
