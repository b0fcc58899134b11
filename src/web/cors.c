/* cors.c - see cors.h. */
#include "web/cors.h"

#include "proto/http1.h"
#include "web/origin.h"

#include <string.h>

static bool is_star(const char *text)
{
	return text && strcmp(text, "*") == 0;
}

/* "A, B": field names, with commas between them; or a star. */
static bool is_name_list(const char *text)
{
	if (!text || is_star(text))
		return true;
	for (;;) {
		text += strspn(text, " ");
		size_t len = strcspn(text, ", ");
		if (!crew__http_token((crew_bytes){ text, len }))
			return false;
		text += len + strspn(text + len, " ");
		if (*text == '\0')
			return true;
		if (*text++ != ',')
			return false;
	}
}

int crew__cors_check(const crew_cors *cors, const char **ret_why)
{
	crew_bytes word;
	const char *why = NULL;
	if (crew__origins_check(cors->origins, &word) < 0)
		why = "an entry of cors.origins is not SCHEME://HOST or SCHEME://HOST:PORT (or it is "
		      "`*`, which stands alone)";
	else if (cors->credentials && crew__origins_any(cors->origins))
		why = "cors.credentials cannot go with the origins `*`: name them";
	else if (cors->credentials && (is_star(cors->headers) || is_star(cors->expose)))
		why = "cors.credentials cannot go with `*` in cors.headers or cors.expose: name them";
	else if (!is_name_list(cors->headers) || !is_name_list(cors->expose))
		why = "cors.headers and cors.expose are names of fields with commas between them";
	else if (cors->max_age_s < 0)
		why = "cors.max_age_s is negative";
	if (!why)
		return 0;
	*ret_why = why;
	return -EINVAL;
}

crew_bytes crew__cors_allowed(const crew_cors *cors, crew_bytes origin)
{
	if (crew__origins_any(cors->origins))
		return CREW_BYTES("*");
	bool may = origin.len > 0 && crew__origins_hold(cors->origins, origin);
	return may ? origin : (crew_bytes){ NULL, 0 };
}
