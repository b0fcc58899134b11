#include "stats/ports.h"

#include <stdlib.h>
#include <string.h>

enum {
	TRIES = 100 /* a write is short, and the one after it a second away */
};

void crew__ports_write(struct crew__ports *ports, const struct crew__port *rows, size_t count)
{
	uint32_t sequence = atomic_load_explicit(&ports->sequence, memory_order_relaxed);
	count = crew__min(count, (size_t)CREW__PORTS);
	atomic_store_explicit(&ports->sequence, sequence + 1, memory_order_relaxed);
	atomic_thread_fence(memory_order_release);
	if (count > 0)
		memcpy(ports->row, rows, count * sizeof(*rows));
	ports->rows = (uint32_t)count;
	atomic_store_explicit(&ports->sequence, sequence + 2, memory_order_release);
}

/* One try; false: the master wrote meanwhile. */
static bool copy(const struct crew__ports *ports, struct crew__port *rows, size_t *ret_count)
{
	uint32_t before = atomic_load_explicit(&ports->sequence, memory_order_acquire);
	size_t count = __atomic_load_n(&ports->rows, __ATOMIC_RELAXED);
	count = crew__min(count, (size_t)CREW__PORTS);
	memcpy(rows, ports->row, count * sizeof(*rows));
	*ret_count = count;
	atomic_thread_fence(memory_order_acquire);
	return before % 2 == 0 &&
	       before == atomic_load_explicit(&ports->sequence, memory_order_relaxed);
}

struct crew__port *crew__ports_read(const struct crew__ports *ports, size_t *ret_count)
{
	*ret_count = 0;
	if (__atomic_load_n(&ports->rows, __ATOMIC_RELAXED) == 0)
		return NULL;
	struct crew__port *rows = calloc(CREW__PORTS, sizeof(*rows));
	if (!rows)
		return NULL;
	for (int i = 0; i < TRIES && !copy(ports, rows, ret_count); i++)
		;
	for (size_t i = 0; i < *ret_count; i++)
		rows[i].address[CREW__PORT_TEXT - 1] = '\0';
	return rows;
}
