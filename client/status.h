/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "command.h"

extern const struct command command_status, command_clients, command_health, command_reload;
