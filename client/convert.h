/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "command.h"

extern const struct command command_transform;
