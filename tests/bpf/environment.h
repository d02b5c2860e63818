#pragma once

#include <string>

// Why these tests cannot run here; empty when they can.
const std::string& environment_problem();
