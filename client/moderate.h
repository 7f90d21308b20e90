/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "command.h"

extern const struct command command_kick, command_ban, command_unban, command_mute, command_unmute;
