/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * The tables of the store, as the steps that lead from one version of them to the next. A step that
 * was ever released stays as it is.
 */

/* The version that this program knows; 0 is an empty database. */
int database_schema_version(void);

/* The statements that lead from this version to the next. */
const char *database_schema_step(int version);
