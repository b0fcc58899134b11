/* retired.c - see retired.h. Rows are used from the first on and never given back: a worker's
 * numbers must not run backward as long as its service has a name. */
#include "stats/retired.h"

#include <stdlib.h>
#include <string.h>

static struct crew__retired *find(struct crew__retired_table *table, uint32_t service, uint32_t id)
{
	for (uint32_t i = 0; i < table->rows; i++)
		if (table->row[i].service == service && table->row[i].id == id)
			return &table->row[i];
	return NULL;
}

/* Workers have at most CREW__LIVES_MAX rows, so that there is one for the rest of each service. */
static struct crew__retired *find_or_make(
	struct crew__retired_table *table, uint32_t service, uint32_t id)
{
	struct crew__retired *row = find(table, service, id);
	if (!row && id != CREW__RETIRED_REST && table->rows >= CREW__LIVES_MAX) {
		id = CREW__RETIRED_REST;
		row = find(table, service, id);
	}
	if (row)
		return row;
	row = &table->row[table->rows++];
	row->service = service;
	row->id = id;
	return row;
}

void crew__retired_add(struct crew__retired_table *table, uint32_t service, uint32_t id,
	const struct crew__slab *counters, const struct crew__histogram *measures)
{
	struct crew__retired *row = find_or_make(table, service, id);
	crew__slab_add(&row->counters, counters, false);
	for (unsigned i = 0; i < CREW__MEASURES; i++)
		crew__histogram_sum(&row->measures[i], &measures[i]);
}

int crew__retired_copy(const struct crew__retired_table *table, uint32_t services,
	struct crew__retired **ret_rows, size_t *ret_count)
{
	uint32_t rows = __atomic_load_n(&table->rows, __ATOMIC_RELAXED);
	rows = (uint32_t)crew__min(rows, crew__lengthof(table->row));
	struct crew__retired *copies = rows ? calloc(rows, sizeof(*copies)) : NULL;
	size_t count = 0;
	if (rows && !copies)
		return -ENOMEM;
	for (uint32_t i = 0; i < rows; i++) {
		memcpy(&copies[count], &table->row[i], sizeof(*copies));
		/* A service that the reader's copy does not name is damage. */
		if (copies[count].service < services)
			count++;
	}
	*ret_rows = copies;
	*ret_count = count;
	return 0;
}
