#include "service/live.h"

void crew__worker_kick(crew_worker *w, uint64_t id)
{
	(void)w;
	(void)id;
}

bool crew__setting_is_live(const char *key)
{
	(void)key;
	return false;
}

int crew__worker_set(crew_worker *w, const char *key, const char *value)
{
	(void)w;
	(void)key;
	(void)value;
	return -EINVAL;
}
