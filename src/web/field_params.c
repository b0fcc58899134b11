#include "web/field_params.h"

#include "proto/http1.h"

static void skip_spaces(struct crew__field_params *p)
{
	while (p->at < p->end && crew__http_is_space(*p->at))
		p->at++;
}

/* Up to the first byte that is one of `stops`, without the spaces before that. */
static crew_bytes take_until(struct crew__field_params *p, const char *stops)
{
	const char *start = p->at;
	while (p->at < p->end && (*p->at == '\0' || !strchr(stops, *p->at)))
		p->at++;
	const char *stop = p->at;
	while (stop > start && crew__http_is_space(stop[-1]))
		stop--;
	return (crew_bytes){ start, (size_t)(stop - start) };
}

crew_bytes crew__field_params_begin(struct crew__field_params *p, crew_bytes field)
{
	*p = (struct crew__field_params){ NULL, NULL };
	if (field.len == 0)
		return (crew_bytes){ "", 0 };
	p->at = field.data;
	p->end = field.data + field.len;
	skip_spaces(p);
	return take_until(p, ";");
}

/* A backslash takes the next byte with it, so that no quote behind one ends the text. */
static int take_quoted(struct crew__field_params *p, crew_bytes *ret_value)
{
	const char *start = ++p->at;
	while (p->at < p->end && *p->at != '"')
		p->at += *p->at == '\\' && p->end - p->at > 1 ? 2 : 1;
	if (p->at >= p->end)
		return -EINVAL;
	*ret_value = (crew_bytes){ start, (size_t)(p->at - start) };
	p->at++;
	skip_spaces(p);
	return p->at < p->end && *p->at != ';' ? -EINVAL : 1;
}

/* A space within it would leave open where it ends, and so would a quote. */
static int take_plain(struct crew__field_params *p, crew_bytes *ret_value)
{
	*ret_value = take_until(p, ";");
	for (size_t i = 0; i < ret_value->len; i++)
		if (crew__http_is_space(ret_value->data[i]) || ret_value->data[i] == '"')
			return -EINVAL;
	return ret_value->len > 0 ? 1 : -EINVAL;
}

int crew__field_params_next(struct crew__field_params *p, struct crew__field_param *ret_param)
{
	while (p->at < p->end && (*p->at == ';' || crew__http_is_space(*p->at)))
		p->at++; /* `a;; b=c;` has empty ones, which are allowed */
	if (p->at >= p->end)
		return 0;
	ret_param->name = take_until(p, "=;");
	if (p->at >= p->end || *p->at != '=' || !crew__http_token(ret_param->name))
		return -EINVAL;
	p->at++;
	ret_param->quoted = p->at < p->end && *p->at == '"';
	return ret_param->quoted ? take_quoted(p, &ret_param->value)
				 : take_plain(p, &ret_param->value);
}
