export async function show(page) { page.append("to come"); }
