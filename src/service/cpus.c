#include "service/cpus.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

/* A number of at most six digits, and `*at` behind it. -1: there is none. */
static int read_number(const char **at)
{
	size_t digits = strspn(*at, "0123456789");
	int number = 0;
	if (digits == 0 || digits > 6)
		return -1;
	for (size_t i = 0; i < digits; i++)
		number = number * 10 + ((*at)[i] - '0');
	*at += digits;
	return number;
}

static int read_range(const char **at, cpu_set_t *set)
{
	int first = read_number(at), last = first;
	if (first >= 0 && **at == '-') {
		(*at)++;
		last = read_number(at);
	}
	if (first < 0 || last < first)
		return -EINVAL;
	if (last >= CPU_SETSIZE)
		return -ERANGE;
	for (int cpu = first; cpu <= last; cpu++)
		CPU_SET((size_t)cpu, set);
	return 0;
}

static int read_list(const char *text, cpu_set_t *set)
{
	do {
		int error = read_range(&text, set);
		if (error)
			return error;
	} while (*text == ',' && *++text);
	return *text || text[-1] == ',' ? -EINVAL : 0;
}

int crew__cpus_parse(const char *text, struct crew__cpus *ret_cpus)
{
	static const char each[] = "each ";
	struct crew__cpus cpus = { .each = false };
	if (strcmp(text, "auto") == 0) {
		*ret_cpus = (struct crew__cpus){ .each = true, .automatic = true };
		return 0;
	}
	if (strncmp(text, each, strlen(each)) == 0) {
		cpus.each = true;
		text += strlen(each);
		text += strspn(text, " \t");
	}
	int error = read_list(text, &cpus.set);
	if (!error)
		*ret_cpus = cpus;
	return error;
}

int crew__cpus_usable(cpu_set_t *ret_set)
{
	return sched_getaffinity(0, sizeof(*ret_set), ret_set) < 0 ? -errno : 0;
}

/* The set with only its member number `number`, from 0. */
static cpu_set_t only(const cpu_set_t *set, unsigned number)
{
	cpu_set_t one;
	CPU_ZERO(&one);
	for (size_t cpu = 0; cpu < CPU_SETSIZE; cpu++) {
		if (!CPU_ISSET(cpu, set) || number-- > 0)
			continue;
		CPU_SET(cpu, &one);
		break;
	}
	return one;
}

cpu_set_t crew__cpus_for(const struct crew__cpus *cpus, const cpu_set_t *usable, unsigned place)
{
	cpu_set_t set = *usable;
	if (!cpus->automatic)
		CPU_AND(&set, &set, &cpus->set);
	unsigned count = (unsigned)CPU_COUNT(&set);
	return cpus->each && count > 0 ? only(&set, place % count) : set;
}

void crew__cpus_text(const cpu_set_t *set, char *text, size_t size)
{
	size_t used = 0;
	snprintf(text, size, "%s", "");
	for (size_t cpu = 0; cpu < CPU_SETSIZE && used < size; cpu++) {
		size_t last = cpu;
		if (!CPU_ISSET(cpu, set))
			continue;
		while (last + 1 < CPU_SETSIZE && CPU_ISSET(last + 1, set))
			last++;
		const char *before = used ? "," : "";
		used += (size_t)(last > cpu ? snprintf(text + used, size - used, "%s%zu-%zu",
						      before, cpu, last)
					    : snprintf(text + used, size - used, "%s%zu", before,
						      cpu));
		cpu = last;
	}
}
