/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Where the daemon keeps what is not in its configuration: its state, and its control socket. Only
 * names are made here, out of the command line and the environment; nothing is opened.
 */

/* What to tell a person when there is no such place, and what can be done about it. */
#define PATHS_NO_STATE                                                           \
	"there is no state directory to keep the log of rooms in: set $HOME or " \
	"$XDG_STATE_HOME, start retortd with --state-dir, or give its service "  \
	"StateDirectory=retort"
#define PATHS_NO_CONTROL                                                       \
	"there is no runtime directory to have the control socket in: set "    \
	"$XDG_RUNTIME_DIR, start retortd with --control, or give its service " \
	"RuntimeDirectory=retort"

/*
 * Returns the state directory, which may not exist yet: the first of $STATE_DIRECTORY, else
 * option, else $XDG_STATE_HOME/retort, else $HOME/.local/state/retort; option is NULL when there is
 * none. Returns a new string, or NULL with errno ENOENT (PATHS_NO_STATE) or ENOMEM.
 */
char *paths_state_directory(const char *option);

/*
 * Returns the control socket's path: option, unless that is NULL, else control.sock in the runtime
 * directory. Returns a new string, or NULL with errno ENOENT (PATHS_NO_CONTROL) or ENOMEM.
 */
char *paths_control(const char *option);

/*
 * Makes the runtime directory, mode 0755, unless it is there. Returns its path, as
 * runtime_directory() does; whether it could be made is found when something is put there.
 */
char *paths_make_runtime_directory(void);
