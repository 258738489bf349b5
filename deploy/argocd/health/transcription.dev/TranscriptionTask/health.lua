-- A TranscriptionTask is in kstatus format (https://github.com/kubernetes-sigs/cli-utils/blob/master/pkg/kstatus/README.md).
-- It always has the condition Ready; Reconciling and Stalled are there only while they are True, and never both.

local status = obj.status
-- Without this a new spec would show the health of the one before, and a new object none at all.
if status == nil or status.conditions == nil or status.observedGeneration ~= obj.metadata.generation then
  return { status = "Progressing", message = "Waiting for the operator to see the current spec" }
end

local found = {}
for _, condition in ipairs(status.conditions) do
  found[condition.type] = condition
end

local function holds(kind)
  return found[kind] ~= nil and found[kind].status == "True"
end

-- Ready has the reason also when another condition decides: Reconciling only says that it is tried again.
local message = ""
if found.Ready ~= nil then
  message = found.Ready.reason .. ": " .. found.Ready.message
end

if holds("Reconciling") then
  return { status = "Progressing", message = message }
end
if holds("Stalled") then
  return { status = "Degraded", message = message }
end
if not holds("Ready") then
  return { status = "Progressing", message = message }
end
-- Not by spec.suspend: while the Agora task is being stopped, it still runs and is billed.
if found.Ready.reason == "Suspended" then
  return { status = "Suspended", message = message }
end
return { status = "Healthy", message = message }
