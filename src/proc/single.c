/* single.c - master and workers in one process, where no worker can be replaced: one that recycles
 * itself ends for good, and when the last has ended so does the process. */
#include "proc/single.h"

#include "proc/chronicle.h"
#include "proc/inside.h"
#include "proc/single_parts.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* ---- making -------------------------------------------------------------------------------- */

const struct crew__service_settings *crew__member_settings(const struct crew__member *member)
{
	return &member->single->plan.settings->service[member - member->single->members];
}

static uint64_t service_counter(void *arg, const crew_service *service, const char *name)
{
	struct crew__member *member = arg;
	return crew__census_counter(member->single->census, service, name);
}

static void stop_recycled(void *arg)
{
	struct crew__member *member = arg;
	crew__log(CREW_WARN, "%s recycles itself; with --single nothing takes its place",
		crew_worker_service(member->worker)->name);
	crew__member_stop(member, false, crew__member_window(member, false));
}

static void on_recycle(void *arg, crew_worker *w)
{
	struct crew__member *member = arg;
	(void)w;
	/* Not from inside a callback, which may be on_worker_start. */
	crew__loop_post(member->single->loop, stop_recycled, member);
}

/* The worker closes its own; the listeners stay open until the program stops. */
static int copy_listeners(const struct crew__listeners *listeners, unsigned service,
	int ret_fds[CREW__ADDRESSES_MAX], size_t *ret_count)
{
	int fds[CREW__ADDRESSES_MAX];
	unsigned count = crew__listeners_fds(listeners, service, 0, false, fds);
	for (unsigned i = 0; i < count; i++) {
		ret_fds[i] = fcntl(fds[i], F_DUPFD_CLOEXEC, 0);
		if (ret_fds[i] >= 0)
			continue;
		int error = -errno;
		while (i > 0)
			close(ret_fds[--i]);
		return error;
	}
	*ret_count = count;
	return 0;
}

static int make_member(struct crew__single *single, unsigned index)
{
	const struct crew__single_plan *plan = &single->plan;
	const struct crew__listener *listener = &plan->listeners->service[index];
	const struct crew__life_plan life = {
		.settings = &plan->settings->service[index],
		.listen = listener->count > 0 ? listener->text : NULL,
		.counters = plan->settings->app->counters,
		.service = index,
		.generation = 1,
	};
	struct crew__member *member = &single->members[index];
	member->single = single;
	int status = crew__registry_begin(single->registry, &life, NULL, &member->entry);
	if (status < 0)
		return status;
	crew__registry_note(single->registry, member->entry, getpid(), CREW__STARTING);
	crew__census_set_own(single->census, crew__entry_index(single->registry, member->entry),
		member->entry->life.life, &member->entry->segment);
	struct crew__worker_plan worker = {
		.loop = single->loop,
		.settings = life.settings,
		.buffer_budget = plan->settings->buffer_budget,
		.dns_servers = plan->settings->dns_servers,
		.generation = 1,
		.counters = plan->settings->app->counters,
		.run_dir = plan->settings->run_dir,
		.name = plan->settings->name,
		.service_counter = service_counter,
		.recycle = on_recycle,
		.arg = member,
	};
	status = crew__segment_stats(&member->entry->segment, &worker.stats);
	if (status < 0)
		return status;
	int fds[CREW__ADDRESSES_MAX];
	status = copy_listeners(plan->listeners, index, fds, &worker.listen_count);
	if (status < 0)
		return status;
	worker.listen_fds = fds;
	if (index == 0) /* the log is one for all of them */
		crew__log_count_into(&worker.stats.slab->log_lost);
	status = crew__worker_new(&worker, &member->worker);
	if (status == 0)
		single->count = index + 1;
	return status;
}

static const struct crew__settings *settings_in_force(void *arg)
{
	return ((struct crew__single *)arg)->plan.settings;
}

/* There is nobody else to tell. */
static void on_new_log(void *arg)
{
	(void)arg;
}

static int care_for_log(struct crew__single *single)
{
	single->log_care = (struct crew__log_care){ .loop = single->loop,
		.file = single->plan.log,
		.settings = settings_in_force,
		.on_new = on_new_log,
		.arg = single };
	return crew__log_care_start(&single->log_care);
}

static int make_parts(struct crew__single *single, char *ret_error, size_t error_size)
{
	struct crew__settings *settings = single->plan.settings;
	int status = crew__loop_new(settings->engine, &single->loop);
	if (status == 0)
		status = crew__single_watch_signals(single);
	if (status == 0)
		status = care_for_log(single);
	if (status == 0)
		status = crew__registry_new(
			settings, "single", crew__loop_engine(single->loop), &single->registry);
	if (status < 0)
		return status;
	crew__directory_generation(&single->registry->directory, 1, NULL);
	crew__herald_begin(&single->herald, single->plan.notify, single->loop, single->registry);
	status = crew__census_new(&single->registry->directory, single->loop,
		settings->app->counters, &single->census);
	for (unsigned i = 0; status == 0 && i < settings->services; i++)
		status = make_member(single, i);
	if (status == 0)
		status = crew__single_begin_certificates(single, ret_error, error_size);
	if (status < 0)
		return status;
	return crew__single_init_control(single, ret_error, error_size);
}

int crew__single_new(const struct crew__single_plan *plan, struct crew__single **ret_single,
	char *ret_error, size_t error_size)
{
	struct crew__single *single = calloc(1, sizeof(*single));
	if (!single)
		return -ENOMEM;
	single->plan = *plan;
	snprintf(ret_error, error_size, "%s", "");
	int status = make_parts(single, ret_error, error_size);
	if (status < 0) {
		if (ret_error[0] == '\0')
			snprintf(ret_error, error_size, "the process cannot be set up: %s",
				strerror(-status));
		crew__single_free(single);
		return status;
	}
	*ret_single = single;
	return 0;
}

int crew__single_directory_fd(const struct crew__single *single)
{
	return single->registry->directory.fd;
}

/* ---- running ------------------------------------------------------------------------------- */

static int start_members(struct crew__single *single, char *ret_error, size_t error_size)
{
	for (unsigned i = 0; i < single->count; i++) {
		struct crew__member *member = &single->members[i];
		int status = crew__worker_start(member->worker);
		if (status < 0) {
			snprintf(ret_error, error_size,
				"service %s failed to start: on_worker_start, or beginning to accept, "
				"returned %d (%s)",
				crew_worker_service(member->worker)->name, status,
				strerror(-status));
			return status;
		}
		single->running++;
		crew__registry_note(single->registry, member->entry, getpid(), CREW__READY);
		crew__chronicle_start(single->registry, &member->entry->life);
	}
	return 0;
}

static const struct crew__listeners *listeners_of(void *arg)
{
	const struct crew__single *single = arg;
	return single->plan.listeners;
}

int crew__single_run(struct crew__single *single, char *ret_error, size_t error_size)
{
	if (start_members(single, ret_error, error_size) < 0)
		return 1;
	crew__herald_ready(&single->herald);
	if (crew__backlog_start(&single->backlog, single->loop, &single->registry->directory,
		    listeners_of, single) < 0)
		crew__log(CREW_ERROR, "the backlogs are not looked at again: no memory");
	crew__fd_store_sync(single->plan.fd_store, single->plan.listeners,
		single->registry->directory.header->service);
	single->plan.on_started(single->plan.arg, crew__loop_engine(single->loop));
	int status = crew__loop_run(single->loop);
	if (status < 0)
		snprintf(ret_error, error_size, "the loop failed: %s", strerror(-status));
	return status < 0 ? 1 : 0;
}

void crew__single_free(struct crew__single *single)
{
	if (!single)
		return;
	crew__inside_use(NULL);
	crew__control_free(single->control);
	for (unsigned i = 0; i < single->count; i++)
		crew__worker_free(single->members[i].worker);
	crew__log_count_into(NULL);
	crew__census_free(single->census);
	crew__herald_end(&single->herald);
	crew__backlog_stop(&single->backlog);
	if (single->loop)
		crew__timer_stop(single->loop, &single->certificate_timer);
	crew__log_care_stop(&single->log_care);
	crew__loop_free(single->loop);
	crew__registry_free(single->registry);
	free(single);
}
