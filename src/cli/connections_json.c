/* connections_json.c - `connections --json`: an array with an object for each connection.
 *
 * There may be very many, so one object is made, filled anew for each row and written; the array
 * around them is the only JSON that is written by hand. */
#include "cli/connections.h"

#include <inttypes.h>
#include <jansson.h>
#include <string.h>

struct page {
	json_t *object;
	json_t *values[CREW__CONNECTION_FIELDS];
	json_t *reasons[CREW_LOST_REASONS];
};

static json_t *empty_value(enum crew__field_kind kind)
{
	switch (kind) {
	case CREW__FIELD_NUMBER:
		return json_integer(0);
	case CREW__FIELD_SECONDS:
		return json_real(0);
	case CREW__FIELD_REASONS:
		return json_object();
	case CREW__FIELD_VERDICT:
		return json_null();
	case CREW__FIELD_ID:
	case CREW__FIELD_TEXT:
	case CREW__FIELD_ADDRESS:
		break;
	}
	return json_string("");
}

static int make_reasons(struct page *page, json_t *object)
{
	for (crew_reason i = 0; i < CREW_LOST_REASONS; i++) {
		page->reasons[i] = json_integer(0);
		if (json_object_set_new(object, crew_reason_name(i), page->reasons[i]))
			return -ENOMEM;
	}
	return 0;
}

static int make_page(struct page *page)
{
	page->object = json_object();
	for (size_t i = 0; i < CREW__CONNECTION_FIELDS; i++) {
		const struct crew__connection_field *field = &crew__connection_fields[i];
		json_t *value = empty_value(field->kind);
		if (json_object_set_new(page->object, field->key, value))
			return -ENOMEM;
		if (field->kind == CREW__FIELD_REASONS && make_reasons(page, value))
			return -ENOMEM;
		page->values[i] = value;
	}
	return 0;
}

static int set_number(json_t *value, uint64_t number)
{
	return json_integer_set(value, number > INT64_MAX ? INT64_MAX : (json_int_t)number);
}

static int fill_reasons(struct page *page, const struct crew__connection *row)
{
	int failed = 0;
	for (size_t i = 0; i < CREW_LOST_REASONS; i++)
		failed |= set_number(page->reasons[i], row->fail[i]);
	return failed;
}

static int fill_value(struct page *page, size_t index, const struct crew__connection *row)
{
	const struct crew__connection_field *field = &crew__connection_fields[index];
	const void *from = (const char *)row + field->member;
	json_t *value = page->values[index];
	char id[17];
	switch (field->kind) {
	case CREW__FIELD_NUMBER:
		return set_number(value, *(const uint64_t *)from);
	case CREW__FIELD_SECONDS:
		return json_real_set(value, *(const double *)from);
	case CREW__FIELD_ID:
		snprintf(id, sizeof(id), "%016" PRIx64, *(const uint64_t *)from);
		return json_string_set(value, id);
	case CREW__FIELD_TEXT:
		return json_string_set(value, *(const char *const *)from);
	case CREW__FIELD_ADDRESS:
		return json_string_set(value, from);
	case CREW__FIELD_REASONS:
		return fill_reasons(page, row);
	case CREW__FIELD_VERDICT:
		break;
	}
	return 0;
}

static int print_row(struct page *page, const struct crew__connection *row, FILE *out)
{
	int failed = 0;
	for (size_t i = 0; i < CREW__CONNECTION_FIELDS; i++)
		failed |= fill_value(page, i, row);
	if (!failed)
		failed = json_dumpf(page->object, out, JSON_COMPACT | JSON_REAL_PRECISION(10));
	return failed ? -ENOMEM : 0;
}

int crew__connections_json(const struct crew__connections *connections, FILE *out)
{
	struct page page = { 0 };
	int error = make_page(&page);
	if (!error)
		fputc('[', out);
	for (size_t i = 0; i < connections->count && !error; i++) {
		fputs(i ? ",\n" : "\n", out);
		error = print_row(&page, &connections->rows[i], out);
	}
	if (!error)
		fputs(connections->count ? "\n]\n" : "]\n", out);
	json_decref(page.object);
	return error;
}
