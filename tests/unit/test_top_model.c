/* What a look of `top` knows: rates between two looks, who matches a filter, every order. */
#include "cli/top_model.h"

#include "base/clock.h"
#include "cli/top_plain.h"
#include "status_world.h"

#include <jansson.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

static void assert_near(double value, double wanted)
{
	if (value < wanted - 0.01 || value > wanted + 0.01)
		fail_msg("%f is not %f", value, wanted);
}

/* An open connection in that slot of a world's segment, which has so much waiting. */
static struct crew__record *open_slot(
	struct world *w, size_t segment, uint32_t slot, uint64_t queued, uint32_t waited)
{
	struct crew__stats stats;
	assert_int_equal(crew__segment_stats(&w->segments[segment], &stats), 0);
	struct crew__record *hot = &stats.records[slot];
	struct crew__record_address *remote = &stats.cold[slot].remote;
	uint32_t now = crew__life_hundredths(&w->segments[segment]);
	crew__slab_begin(stats.slab);
	if (stats.slab->slots_high <= slot)
		atomic_store(&stats.slab->slots_high, slot + 1);
	hot->state = CREW__CONN_OPEN;
	hot->protocol = CREW__WS;
	hot->end = CREW_END_REASONS;
	hot->bytes_queued = queued;
	hot->messages_queued = queued ? 1 : 0;
	hot->queued_since = now - waited;
	remote->family = AF_INET;
	remote->ip[10] = remote->ip[11] = 0xff;
	remote->ip[12] = 10;
	remote->ip[15] = (uint8_t)(slot + 1);
	remote->port = (uint16_t)(5000 + slot);
	atomic_store(&hot->id, (uint64_t)stats.life << 52 | (uint64_t)slot << 32 | 1);
	crew__slab_end(stats.slab);
	return hot;
}

static struct crew__top_look *look_at(struct world *w, const struct crew__top_look *before)
{
	struct crew__top_look *look;
	char error[256];
	w->attached.copy_consistent = crew__directory_read(&w->directory, 1000, w->attached.copy);
	w->attached.directory = w->directory;
	w->attached.segments = w->segments;
	w->attached.segment_count = w->count;
	struct crew__status_source source = {
		.attached = &w->attached, .app = &world_app, .now_ns = w->now_ns
	};
	assert_int_equal(crew__top_look_new(&source, before, &look, error, sizeof(error)), 0);
	return look;
}

/* Two workers; the slots of the rows that `order` gives, as digits, those of the second from 5 on.
 */
static const char *arranged(struct crew__top_look *look, const struct crew__top_order *order)
{
	static char text[32];
	size_t n = 0;
	crew__top_look_arrange(look, order);
	for (; n < look->row_count; n++) {
		uint64_t id = look->rows[n].connection->id;
		text[n] = (char)('0' + (id >> 32 & 0xf) + 5 * ((id >> 52) - 1));
	}
	text[n] = '\0';
	return text;
}

static void set_up_two(struct world *w)
{
	world_add(w, world_life(1, 0, 0, getpid()), world_app.counters);
	world_add(w, world_life(2, 1, 0, getpid()), world_app.counters);
}

static struct crew__top_order by_key(const char *key)
{
	const char *nearest;
	struct crew__top_order order = { .by = CREW__TOP_BY_FIELD,
		.field = crew__connection_field_find(key, &nearest) };
	assert_non_null(order.field);
	return order;
}

/* ---- rates --------------------------------------------------------------------------------- */

static void the_first_look_tells_rates_since_the_start(void **state)
{
	struct world *w = *state;
	set_up_two(w);
	world_work(w->slabs[0], 100); /* 1200 sent and 500 lost in 100 s */
	struct crew__top_look *look = look_at(w, NULL);
	assert_near(look->rates.messages, 12);
	assert_near(look->rates.fails, 5);
	assert_near(look->worker_fails[0], 5);
	assert_near(look->worker_fails[1], 0);
	crew__top_look_free(look);
}

static void rates_are_those_since_the_look_before(void **state)
{
	struct world *w = *state;
	set_up_two(w);
	world_work(w->slabs[0], 100);
	struct crew__record *hot = open_slot(w, 0, 0, 0, 0);
	hot->bytes_out = 1000;
	struct crew__top_look *first = look_at(w, NULL);
	assert_true(first->drained[0] < 0);
	world_work(w->slabs[1], 1);
	w->slabs[1]->bytes_out += 4096;
	hot->bytes_out += 5000;
	open_slot(w, 1, 3, 0, 0)->bytes_out = 700;
	w->now_ns += 2 * CREW__NS_PER_S;
	struct crew__top_look *second = look_at(w, first);
	assert_near(second->rates.messages, 6);
	assert_near(second->rates.bytes, 2048);
	assert_near(second->rates.fails, 2.5);
	assert_near(second->worker_fails[0], 0);
	assert_near(second->worker_fails[1], 2.5);
	/* One that was there, one that came. */
	assert_int_equal(second->connections.count, 2);
	assert_near(second->drained[second->connections.rows[0].place], 2500);
	assert_near(second->drained[second->connections.rows[1].place], 350);
	crew__top_look_free(first);
	crew__top_look_free(second);
}

static void another_program_has_no_rates_with_the_one_before(void **state)
{
	struct world *w = *state;
	set_up_two(w);
	world_work(w->slabs[0], 100);
	open_slot(w, 0, 0, 0, 0)->bytes_out = 1000;
	struct crew__top_look *first = look_at(w, NULL);
	w->attached.master = 1;
	w->now_ns += CREW__NS_PER_S;
	struct crew__top_look *second = look_at(w, first);
	assert_near(second->rates.messages, 1200 / 101.0);
	assert_true(second->drained[0] < 0);
	/* Nor has a look with one of the same moment, or a later one. */
	struct crew__top_look *third = look_at(w, second);
	assert_true(third->drained[0] < 0);
	crew__top_look_free(first);
	crew__top_look_free(second);
	crew__top_look_free(third);
}

static void counters_that_went_back_have_no_rate(void **state)
{
	struct world *w = *state;
	set_up_two(w);
	struct crew__record *hot = open_slot(w, 0, 0, 0, 0);
	hot->bytes_out = 1000;
	struct crew__top_look *first = look_at(w, NULL);
	hot->bytes_out = 10;
	w->now_ns += CREW__NS_PER_S;
	struct crew__top_look *second = look_at(w, first);
	assert_near(second->drained[0], 0);
	crew__top_look_free(first);
	crew__top_look_free(second);
}

/* ---- order --------------------------------------------------------------------------------- */

static void fill_some(struct world *w)
{
	set_up_two(w);
	open_slot(w, 0, 0, 0, 0)->bytes_out = 50;
	open_slot(w, 0, 1, 100, 500)->bytes_out = 10;
	open_slot(w, 0, 2, 900, 200)->bytes_out = 30;
	open_slot(w, 1, 0, 500, 900)->bytes_out = 20;
}

static void orders(void **state)
{
	struct world *w = *state;
	struct crew__top_order order = { .by = CREW__TOP_BY_SLOWNESS };
	fill_some(w);
	struct crew__top_look *look = look_at(w, NULL);
	assert_int_equal(look->row_count, 0);
	assert_string_equal(arranged(look, &order), "5120");
	order.reverse = true;
	assert_string_equal(arranged(look, &order), "0215");
	order = by_key("send_queue");
	assert_string_equal(arranged(look, &order), "2510");
	order = by_key("bytes_out");
	assert_string_equal(arranged(look, &order), "0251");
	order = by_key("remote");
	assert_string_equal(arranged(look, &order), "0512"); /* 0 and 5 have the same */
	crew__top_look_free(look);
}

static void what_drains_fastest(void **state)
{
	struct world *w = *state;
	struct crew__top_order order = { .by = CREW__TOP_BY_DRAINED };
	fill_some(w);
	struct crew__top_look *first = look_at(w, NULL);
	w->now_ns += CREW__NS_PER_S;
	open_slot(w, 0, 1, 100, 500)->bytes_out += 7;
	open_slot(w, 1, 0, 500, 900)->bytes_out += 70;
	struct crew__top_look *second = look_at(w, first);
	assert_string_equal(arranged(second, &order), "5102");
	assert_near(second->rows[0].drained, 70);
	assert_near(second->rows[1].drained, 7);
	crew__top_look_free(first);
	crew__top_look_free(second);
}

static void filters(void **state)
{
	struct world *w = *state;
	struct crew__top_order order = { .by = CREW__TOP_BY_SLOWNESS };
	fill_some(w);
	struct crew__top_look *look = look_at(w, NULL);
	strcpy(order.filter, "FEED");
	assert_string_equal(arranged(look, &order), "120");
	strcpy(order.filter, "10.0.0.1:");
	assert_string_equal(arranged(look, &order), "50");
	strcpy(order.filter, "00100002"); /* the beginning of an id */
	assert_string_equal(arranged(look, &order), "2");
	strcpy(order.filter, "100002"); /* its middle is none */
	assert_string_equal(arranged(look, &order), "");
	strcpy(order.filter, "nobody");
	assert_string_equal(arranged(look, &order), "");
	order.filter[0] = '\0';
	assert_string_equal(arranged(look, &order), "5120");
	crew__top_look_free(look);
}

static void a_verdict_matches(void **state)
{
	(void)state;
	struct crew__connection one = { .service = "feed", .remote = "unix", .verdict = NULL };
	assert_false(crew__top_matches(&one, "stalled"));
	one.verdict = "reader-stalled";
	assert_true(crew__top_matches(&one, "Stalled"));
	assert_true(crew__top_matches(&one, ""));
}

static void the_orders_that_are_offered_go_round(void **state)
{
	(void)state;
	struct crew__top_order order = { .by = CREW__TOP_BY_SLOWNESS };
	char names[512] = "";
	do {
		strcat(strcat(names, crew__top_order_name(&order)), " ");
		crew__top_order_next(&order);
	} while (order.by != CREW__TOP_BY_SLOWNESS && strlen(names) < 400);
	assert_string_equal(names, "slowest send_queue oldest_queued_s kernel_unsent send_fail "
				   "bytes_out age_s service remote verdict drained/s ");
	order = by_key("pid"); /* is not offered: back to those that are */
	crew__top_order_next(&order);
	assert_string_equal(crew__top_order_name(&order), "send_queue");
}

/* ---- JSON ---------------------------------------------------------------------------------- */

static void a_document_is_a_line(void **state)
{
	struct world *w = *state;
	struct crew__top_order order = { .by = CREW__TOP_BY_SLOWNESS };
	char *text;
	size_t size;
	fill_some(w);
	struct crew__top_look *look = look_at(w, NULL);
	crew__top_look_arrange(look, &order);
	FILE *out = open_memstream(&text, &size);
	assert_int_equal(crew__top_json(look, 3, out), 0);
	fclose(out);
	assert_ptr_equal(strchr(text, '\n'), text + size - 1);
	json_t *document = json_loads(text, JSON_REJECT_DUPLICATES, NULL);
	json_t *slowest = json_object_get(document, "slowest");
	assert_int_equal(json_array_size(slowest), 3);
	assert_int_equal(json_object_size(document), 2);
	json_t *first = json_array_get(slowest, 0);
	assert_string_equal(json_string_value(json_object_get(first, "id")), "0020000000000001");
	assert_int_equal(json_integer_value(json_object_get(first, "send_queue")), 500);
	json_t *status = json_object_get(document, "status");
	assert_string_equal(json_string_value(json_object_get(status, "app")), "shop");
	json_decref(document);
	free(text);
	crew__top_look_free(look);
	crew__top_look_free(NULL);
}

static void nobody_is_connected(void **state)
{
	struct world *w = *state;
	struct crew__top_order order = { .by = CREW__TOP_BY_DRAINED, .reverse = true };
	struct crew__top_look *first = look_at(w, NULL);
	w->now_ns += CREW__NS_PER_S;
	struct crew__top_look *look = look_at(w, first);
	assert_string_equal(arranged(look, &order), "");
	assert_int_equal(look->status->row_count, 0);
	crew__top_look_free(first);
	crew__top_look_free(look);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		WORLD_TEST(the_first_look_tells_rates_since_the_start),
		WORLD_TEST(rates_are_those_since_the_look_before),
		WORLD_TEST(another_program_has_no_rates_with_the_one_before),
		WORLD_TEST(counters_that_went_back_have_no_rate),
		WORLD_TEST(orders),
		WORLD_TEST(what_drains_fastest),
		WORLD_TEST(filters),
		cmocka_unit_test(a_verdict_matches),
		cmocka_unit_test(the_orders_that_are_offered_go_round),
		WORLD_TEST(a_document_is_a_line),
		WORLD_TEST(nobody_is_connected),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
