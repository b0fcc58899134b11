/* connections_json.h - a row of `connections` as an object, for those who put it into a larger one.
 */
#ifndef CREW_CLI_CONNECTIONS_JSON_H
#define CREW_CLI_CONNECTIONS_JSON_H

#include "cli/connections.h"

#include <jansson.h>

/* The object of one row, a new reference; NULL without memory. */
json_t *crew__row_object(
	const void *row, const struct crew__connection_field *fields, size_t field_count);

#endif
