/* recent.c - the last events, kept for who looks. */
#include "admin/recent.h"

#include "base/clock.h"

#include <stdlib.h>
#include <string.h>

enum {
	NS_PER_US = 1000
};

void crew__recent_fini(struct crew__recent *recent)
{
	crew__event_reader_fini(&recent->reader);
	crew__event_rows_fini(&recent->rows);
	*recent = (struct crew__recent){ 0 };
}

static size_t first_after(const struct crew__event_rows *rows, uint64_t after)
{
	size_t first = 0;
	while (first < rows->count && crew__event_row_stamp(&rows->rows[first]) <= after)
		first++;
	return first;
}

void crew__events_cut(struct crew__event_rows *rows, uint64_t after, size_t most)
{
	size_t first = after > 0 ? first_after(rows, after) : 0;
	if (rows->count - first > most)
		first = rows->count - most;
	if (first == 0)
		return;
	rows->count -= first;
	memmove(rows->rows, rows->rows + first, rows->count * sizeof(*rows->rows));
}

static int append(struct crew__event_rows *rows, const struct crew__event_rows *news)
{
	struct crew__event_row *all = reallocarray(
		rows->rows, rows->count + news->count + 1, sizeof(*all));
	if (!all)
		return -ENOMEM;
	if (news->count > 0)
		memcpy(all + rows->count, news->rows, news->count * sizeof(*all));
	rows->rows = all;
	rows->count += news->count;
	return 0;
}

int crew__recent_read(struct crew__recent *recent, const struct crew__attached *attached)
{
	struct crew__event_rows news;
	int error = crew__event_reader_take(&recent->reader, attached, &news);
	if (error)
		return error;
	crew__events_cut(&news, 0, CREW__RECENT_MOST);
	error = append(&recent->rows, &news);
	crew__event_rows_fini(&news);
	crew__events_cut(&recent->rows, 0, CREW__RECENT_MOST);
	return error;
}

int crew__recent_json(const struct crew__recent *recent, bool all, uint64_t now_ns, FILE *out)
{
	uint64_t window_ns = CREW__RECENT_MS * CREW__NS_PER_MS;
	uint64_t after = now_ns > window_ns ? (now_ns - window_ns) / NS_PER_US : 0;
	size_t first = all ? 0 : first_after(&recent->rows, after);
	struct crew__event_rows shown = { .count = recent->rows.count - first,
		.rows = recent->rows.rows ? recent->rows.rows + first : NULL };
	return crew__event_rows_json(&shown, false, out);
}
